"""What the page offers. Each form enqueues a task in the transaction of the request that brings it, and returns the task's id."""

import hark
from django import forms

from sim import services, tasks


class Calculate(forms.Form):
    title = "interesting_calculation(a, b)"
    about = "The result is in the row."
    a = forms.IntegerField(min_value=0, max_value=999, initial=3)
    b = forms.IntegerField(min_value=0, max_value=999, initial=14)
    undo = forms.BooleanField(required=False, label="roll the request back")

    def enqueue(self):
        return hark.enqueue(services.interesting_calculation, [self.cleaned_data["a"], self.cleaned_data["b"]])


class Create(forms.Form):
    title = "create_another_model(name, value)"
    about = "A record of the project's own model."
    name = forms.CharField(max_length=100, initial="Robert")
    value = forms.IntegerField(min_value=-1_000_000, max_value=1_000_000, initial=13)

    def enqueue(self):
        return hark.enqueue(services.create_another_model, {"name": self.cleaned_data["name"], "value": self.cleaned_data["value"]})


class Average(forms.Form):
    title = "average_value(name)"
    about = "Fails while no record has the name. Two attempts."
    name = forms.CharField(max_length=100, initial="Nobody")

    def enqueue(self):
        return hark.enqueue(tasks.average_value, [self.cleaned_data["name"]], max_attempts=2)


class Total(forms.Form):
    title = "async total_values(names)"
    about = "Two queries at a time; names with commas between."
    names = forms.CharField(max_length=500, initial="Robert, Ada")

    def enqueue(self):
        names = [name.strip() for name in self.cleaned_data["names"].split(",")]
        return hark.enqueue(tasks.total_values, [names])


class Welcome(forms.Form):
    title = "@task welcome(name)"
    about = "Through Django's Tasks API."
    name = forms.CharField(max_length=100, initial="Ada")

    def enqueue(self):
        return tasks.welcome.enqueue(self.cleaned_data["name"]).id


FORMS = {"calculate": Calculate, "create": Create, "average": Average, "total": Total, "welcome": Welcome}
