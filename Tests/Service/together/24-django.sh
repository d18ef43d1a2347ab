# A Django project in the sandbox: the two functions of the recipe run unchanged, and what they may not do they cannot.
app=/srv/app
cp -R /hark/Examples/django "$app"
/usr/bin/python3 -m venv "$app/venv"
"$app/venv/bin/pip" install -q --no-index --find-links /hark/.build/wheels -r "$app/requirements.txt" hark-tasks
cat >> "$app/sim/services.py" <<'PY'


def forbidden():
    import os

    tried = {"home": lambda: os.listdir("/root"), "etc": lambda: open("/etc/hark/mine", "w"), "project": lambda: open(__file__, "a")}
    allowed = []
    for name, attempt in tried.items():
        try:
            attempt()
            allowed.append(name)
        except OSError:
            pass
    return allowed
PY
(cd "$app" && DATABASE_URL=postgresql:///hark "$app/venv/bin/python" manage.py migrate -v 0)
sql "grant all on all tables in schema public to hark; grant all on all sequences in schema public to hark"
top="[python]
interpreter = \"$app/venv/bin/python\"
directory = \"$app\"
django_settings = \"core.settings\"
modules = [\"sim.services\"]
pass_environment = [\"DATABASE_URL\"]" instance django 'Environment=DATABASE_URL=postgresql:///hark'
systemctl start hark@django
says django listening || fail "the status is “$(status django)”"
await "Python" journal_has django "is ready: 2 interpreters for sim.services"

id=$(enqueue django sim.services.interesting_calculation '[3, 14]')
finished "$id"
expect "the calculation" "$(task "$id" result)" 4782969
id=$(enqueue django sim.services.create_another_model '["Robert", 13]')
finished "$id"
expect "the record" "$(sql "select name || ' ' || value from sim_anothermodel")" "Robert 13"
id=$(enqueue django sim.services.forbidden)
finished "$id"
expect "what the sandbox allows" "$(task "$id" result)" "[]"

# An interpreter that is killed is replaced; the worker does not end.
pid=$(main_pid django)
pgrep -u hark -x hark-python > /dev/null || fail "there is no process of Python"
kill -KILL $(pgrep -u hark -x hark-python | tail -n 1)
id=$(enqueue django sim.services.interesting_calculation '[2, 10]')
finished "$id"
expect "the worker" "$(main_pid django)" "$pid"

# New code comes with a reload.
sed -i 's/return a\*\*b/return a * b/' "$app/sim/services.py"
systemctl reload hark@django
id=$(enqueue django sim.services.interesting_calculation '[3, 14]')
finished "$id"
expect "the new code" "$(task "$id" result)" 42
systemctl stop hark@django
! pgrep -u hark -x hark-python || fail "processes of Python are left"
