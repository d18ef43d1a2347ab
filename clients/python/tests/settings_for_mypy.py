"""Settings for mypy's Django plugin, which asks Django what a model's fields are."""

SECRET_KEY = "of the types"
INSTALLED_APPS = ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "hark.django"]
