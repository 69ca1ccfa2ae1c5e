# After the files are there; $1 is how many versions are installed then. Nothing here may fail the transaction, and the
# service starts when the administrator says so, as the policies of RPM distributions want it.
systemd-sysusers dunlin.conf || :
if [ "$1" -eq 1 ]; then
    chown dunlin:dunlin /etc/dunlin /etc/dunlin/dunlin.toml || :
    chmod 0700 /etc/dunlin || :
    chmod 0600 /etc/dunlin/dunlin.toml || :
    systemctl preset dunlin.service || :
else
    systemctl daemon-reload || :
    systemctl try-restart dunlin.service || :
fi
