# A wrong configuration is one failure and no restart loop; the status says what is wrong.
instance wrong
sed -i 's/^slots = 20/slots = 0/' /etc/hark/wrong.toml
! systemctl start hark@wrong 2> /dev/null || fail "it started"
sleep 1
expect "the state" "$(show wrong ActiveState)" failed
expect "the exit code" "$(show wrong ExecMainStatus)" 78
expect "restarts" "$(show wrong NRestarts)" 0
has "the status" "$(status wrong)" "/etc/hark/wrong.toml:5: slots = 0 is out of range"
expect "ERRNO" "$(show wrong StatusErrno)" 22

instance unreadable LoadCredential=password:/etc/hark/unreadable
printf 'two\nlines\n' > /etc/hark/unreadable
! systemctl start hark@unreadable 2> /dev/null || fail "it started"
expect "the exit code with a bad credential" "$(show unreadable ExecMainStatus)" 78
has "the status" "$(status unreadable)" "the credential is not a password"

instance missing LoadCredential=password:/etc/hark/nothing
! systemctl start hark@missing 2> /dev/null || fail "it started"
sleep 1
expect "the state without the credential's file" "$(show missing ActiveState)" failed
expect "restarts" "$(show missing NRestarts)" 0

! journalctl -q -u hark@unreadable -o cat | grep two || fail "the credential is in the journal"
