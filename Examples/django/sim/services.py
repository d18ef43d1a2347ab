from sim.models import AnotherModel


def interesting_calculation(a, b):
    return a**b


def create_another_model(name, value):
    AnotherModel.objects.create(name=name, value=value)
