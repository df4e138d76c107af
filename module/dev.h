/* SPDX-License-Identifier: GPL-2.0-only */
/* dev.h - see dev.c */
#ifndef RS_DEV_H
#define RS_DEV_H

int rs_dev_init(void);		/* P. From here on user space can reach the module. */
void rs_dev_exit(void);

#endif /* RS_DEV_H */
