# Before the files go; $1 is how many versions stay. Configuration that was changed and data are kept.
if [ "$1" -eq 0 ]; then
    systemctl disable --now dunlin.service || :
fi
