import json

from django.contrib import messages
from django.db import transaction
from django.http import Http404
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe
from hark.django.models import Task

from sim.forms import FORMS
from sim.models import AnotherModel


@require_safe
def index(request):
    return page(request)


@require_POST
def enqueue(request, name):
    if name not in FORMS:
        raise Http404(f"there is no form {name}")
    form = FORMS[name](request.POST, auto_id=False)
    if not form.is_valid():
        return page(request, 400, **{name: form})
    id = form.enqueue()
    if form.cleaned_data.get("undo"):
        transaction.set_rollback(True)
        messages.warning(request, f"Task {id} was rolled back with its request: there never was one.")
    else:
        messages.success(request, f"Task {id} enqueued.")
    return redirect("index")


def page(request, status=200, **given):
    tasks = list(Task.objects.order_by("-id")[:15])
    for task in tasks:
        task.shown_args = json.dumps(task.args, ensure_ascii=False)
        task.shown_result = "" if task.result is None else json.dumps(task.result, ensure_ascii=False)
    context = {
        "forms": {name: given.get(name) or form(auto_id=False) for name, form in FORMS.items()},
        "tasks": tasks,
        "records": AnotherModel.objects.order_by("-id")[:5],
        "moving": any(not task.is_finished for task in tasks),
    }
    return render(request, "sim/index.html", context, status=status)
