"""Settings of the project whose functions a worker runs in test_worker.py. The address of the database comes with the worker's configuration."""

import os

import django

SECRET_KEY = "of the worker"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", *([] if django.VERSION >= (6, 0) else ["django_tasks"]), "hark.django", "sim"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "HOST": os.environ["TEST_HOST"], "USER": "postgres", "NAME": "app", "CONN_MAX_AGE": 600}}
TASKS = {"default": {"BACKEND": "hark.django.HarkBackend", "QUEUES": ["default", "mail"]}}
