"""One Python process of its own with the project loaded, as a worker without a fork server starts them: it calls the function that
Hark's interpreters are given, says so, and stays until its stdin is closed."""

import os
import sys

os.environ["DJANGO_SETTINGS_MODULE"] = "core.settings"
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import django

django.setup()

import json

from sim.tasks import touch

for _ in range(int(sys.argv[1])):
    json.dumps(touch(*json.loads("[0]")))
print("ready", flush=True)
sys.stdin.read()
