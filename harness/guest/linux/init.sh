#!/bin/busybox sh
# The first process of the Linux guest: brings up what a test needs, then keeps a shell on the console.
# No file but this one, busybox, cksum, perl without its modules and a few of the kernel's own modules is in the guest.

/bin/busybox --install -s /bin
export PATH=/bin HOME=/ TERM=dumb

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
mount -t debugfs debugfs /sys/kernel/debug
hostname guest

for module in /modules/*.ko; do
    insmod "$module"
done

mkdir -p /etc/acpi/PWRF
# busybox's acpid runs the file named after the power button's event; evdev made the nodes before it starts.
printf '#!/bin/sh\nexec poweroff -f\n' >/etc/acpi/PWRF/00000080
chmod 755 /etc/acpi/PWRF/00000080
if [ -e /dev/input/event0 ]; then
    acpid -c /etc/acpi -l /dev/null
fi

# The 8250 driver works around a broken UART in silence. It decides when a port is first opened, which is below: the two functions
# in which it does so tell the log.
echo 'func univ8250_setup_timer +p; func serial8250_do_startup +p' >/proc/dynamic_debug/control

# From here on the console belongs to the shell: kernel messages go to the log only.
dmesg -n 1
read -r consoles </sys/class/tty/console/active
console=/dev/${consoles##* }

while :; do
    echo 'guest ready' >"$console"
    setsid -c sh -i <"$console" >"$console" 2>&1
done
