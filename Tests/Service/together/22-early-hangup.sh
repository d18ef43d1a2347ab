# SIGHUP before the worker is ready does not make it ready.
instance early
sed -i 's|postgresql:///hark|postgresql:///hark?host=/nowhere|' /etc/hark/early.toml
systemctl start --no-block hark@early
await "its first status" says early "starting: waiting for the database"
systemctl kill -s HUP --kill-whom=main hark@early
await "the reload" journal_has early "configuration reloaded"
expect "the state" "$(show early ActiveState)" activating
systemctl stop hark@early
