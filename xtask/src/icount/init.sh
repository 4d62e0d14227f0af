#!/bin/sh
# The first process of the virtual machine.
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf
xtask bench --objects / --output instructions --rounds 5 --packets 1000 && echo "icount: done"
poweroff -f
