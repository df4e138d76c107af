/* SPDX-License-Identifier: MIT */
/*
 * ipc.h - what the tests of messages share: a port that a child serves
 *
 * Servers and clients are parent and children: handles are inherited. A server ends by itself when
 * nobody is left who could send, so its parent closes what it does not need; that is part of what
 * is tested.
 */
#ifndef SELFTESTS_APP_IPC_H
#define SELFTESTS_APP_IPC_H

#include <ringside/ipc.h>
#include "app.h"

static int port, to;		/* to receive with; to send by, badge 5 */

static inline void open_port(void)
{
	int p = rs_port_create(0);

	ASSERT(p > 0);
	port = rs_handle_copy(p, RS_RIGHT_RECEIVE | RS_RIGHT_GRANT, 0);
	to = rs_handle_copy(p, RS_RIGHT_SEND | RS_RIGHT_GRANT, 5);
	ASSERT(port > 0 && to > 0);
	EXPECT_EQ(rs_handle_close(p), 0);
}

static inline pid_t server(void (*fn)(void))
{
	pid_t pid = CHILD({ fn(); });

	EXPECT_EQ(rs_handle_close(port), 0);
	return pid;
}

#endif /* SELFTESTS_APP_IPC_H */
