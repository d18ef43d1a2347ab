from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.db.models.signals import pre_migrate


class HarkConfig(AppConfig):
    name = "hark.django"
    label = "hark"
    verbose_name = "Hark"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from hark.django.checks import check_schema

        checks.register(check_schema, checks.Tags.database)
        if getattr(settings, "HARK_MIGRATE", False):
            pre_migrate.connect(migrate_too, sender=self)


def migrate_too(using: str, **_: Any) -> None:
    """With HARK_MIGRATE, `manage.py migrate` applies Hark's schema too, and so it is there in the databases that tests make."""
    from django.apps import apps
    from django.db import connections, router

    from hark.django.migrator import migrate

    if connections[using].vendor == "postgresql" and router.allow_migrate_model(using, apps.get_model("hark", "Task")):
        migrate(using)
