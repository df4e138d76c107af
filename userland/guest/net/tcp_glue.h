/* SPDX-License-Identifier: MIT */
/*
 * tcp_glue.h - the two halves of our use of lwIP: below it (tcp_ip.c) and above it (tcp.c)
 */
#ifndef RS_NET_TCP_GLUE_H
#define RS_NET_TCP_GLUE_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <lwip/sys.h>
#include <lwip/tcp.h>
#include <lwip/priv/tcp_priv.h>
#pragma GCC diagnostic pop

/** tcp_errno() - an err_t of lwIP as -errno; 0 for ERR_OK */
long tcp_errno(err_t err);

#endif
