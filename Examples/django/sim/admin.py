from django.contrib import admin

from sim.models import AnotherModel


@admin.register(AnotherModel)
class AnotherModelAdmin(admin.ModelAdmin):
    list_display = ["id", "name", "value"]
    search_fields = ["name"]
