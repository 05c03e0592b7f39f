# A system in namespaces of its own, with systemd as its first process: box.sh ROOT USR ETC... -- [FROM AT]...
# ROOT: an empty directory. USR: a tree that is laid over the host's /usr. ETC: trees that are copied to /etc. FROM is
# a directory of the host that the system has AT a place.
set -e
root=$1 over=$2
shift 2
mount --make-rprivate /
mount -t tmpfs tmpfs "$root"
cd "$root"
mkdir usr etc proc sys dev run tmp var root old
mount -t overlay -o "ro,lowerdir=$over:/usr" overlay usr
for name in bin sbin lib lib32 lib64 libx32; do
  [ ! -e "usr/$name" ] || ln -s "usr/$name" "$name"
done
ln -s /run var/run
while [ "$1" != -- ]; do
  cp -a "$1/." etc/
  shift
done
shift
mkdir -p etc/ssl/certs
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs dev
for name in null zero full random urandom tty; do
  touch "dev/$name"
  mount --bind "/dev/$name" "dev/$name"
done
mkdir dev/shm dev/pts
ln -s /proc/self/fd dev/fd
while [ $# -gt 0 ]; do
  mkdir -p "./$2"
  mount --bind "$1" "./$2"
  shift 2
done
hostname "$(cat etc/hostname)"
pivot_root . old
umount -l old
# systemd(1): with `container` it leaves the machine alone.
exec env -i container=tests PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --log-target=console --show-status=no
