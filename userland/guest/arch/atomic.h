/* SPDX-License-Identifier: MIT */
/*
 * atomic.h - the few atomic operations the kernel needs, on plain integers
 */
#ifndef RS_ARCH_ATOMIC_H
#define RS_ARCH_ATOMIC_H

#include "../lib/types.h"

#define atomic_xchg(p, v)	__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define atomic_add(p, v)	__atomic_add_fetch(p, v, __ATOMIC_SEQ_CST)
#define atomic_sub(p, v)	__atomic_sub_fetch(p, v, __ATOMIC_SEQ_CST)
#define atomic_load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define atomic_store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define atomic_cas(p, old, new)	({ typeof(*(p)) _o = (old);					\
	__atomic_compare_exchange_n(p, &_o, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); })

#endif
