# Owns the directory and the processes of one server or cluster.
#
# Says the directory's path, then reads "add PID", "del PID" and "leave" until the pipe on its
# standard input ends, and kills and removes what is left. Each process leads a group of its own;
# the whole group is killed, so that a server's forked helper goes too.
#
# PIPE is among the ignored signals because our owner may be gone before it hears the path.
trap '' HUP INT QUIT PIPE TERM TSTP TTIN TTOU
dir=$(mktemp -d "$1/wait-pool-testbed.XXXXXXXX") || exit 1
printf '%s\n' "$dir"
# Whoever reads our owner's output must not wait for us.
exec >/dev/null 2>&1

pids=' '
while read -r verb pid; do
    case $verb in
        add) pids="$pids$pid " ;;
        del) case $pids in *" $pid "*) pids="${pids%% "$pid" *} ${pids#* "$pid" }" ;; esac ;;
        leave) exit 0 ;;
    esac
done

for pid in $pids; do
    kill -s KILL -- "-$pid"
done
# A process that is just dying may still be creating a file.
tries=0
until rm -rf "$dir" || [ "$tries" -ge 50 ]; do
    tries=$((tries + 1))
    sleep 0.02
done
