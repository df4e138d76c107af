/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * virt.h - what main.c and vm.c need from backend.c: choosing a backend, turning the CPUs on and
 * off
 */
#ifndef RS_VIRT_H
#define RS_VIRT_H

#include "backend.h"

/*
 * P: probe the machine. 0 also when it has nothing usable (rs_backend stays NULL); an error when
 * setting up failed.
 */
int rs_backend_init(void);
void rs_backend_exit(void);

/**
 * rs_backend_use - make @b the backend; for rs_backend_init, and for tests that bring their own
 * while no VM exists P. NULL is allowed.
 */
void rs_backend_use(const struct rs_backend *b);

/*
 * P: one more VM, or one less. The first turns virtualisation on, on all CPUs. -ENODEV, -EBUSY,
 * -EINTR, -ESHUTDOWN.
 */
int rs_virt_get(void);
void rs_virt_put(void);

/* The machine is going down: virtualisation is off and stays off. */
bool rs_is_rebooting(void);

#endif /* RS_VIRT_H */
