# A journal that is gone costs its records and nothing else.
instance quiet
systemctl start hark@quiet
systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service 2> /dev/null
id=$(enqueue quiet say)
finished "$id"
expect "restarts" "$(show quiet NRestarts)" 0
systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service
systemctl stop hark@quiet
