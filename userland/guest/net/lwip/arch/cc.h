/* SPDX-License-Identifier: MIT */
/*
 * cc.h - what lwIP wants to know of the compiler and of the world, see ../../tcp.c
 */
#ifndef RS_NET_LWIP_CC_H
#define RS_NET_LWIP_CC_H

#define LWIP_NO_CTYPE_H		1
#define LWIP_NO_INTTYPES_H	1
#define LWIP_NO_LIMITS_H	1
#define LWIP_NO_UNISTD_H	1
#ifndef INT_MAX
#define INT_MAX			__INT_MAX__
#endif
#ifndef SSIZE_MAX
#define SSIZE_MAX		__LONG_MAX__
#endif

#define X8_F	"02x"
#define U16_F	"u"
#define S16_F	"d"
#define X16_F	"x"
#define U32_F	"u"
#define S32_F	"d"
#define X32_F	"x"
#define SZT_F	"lu"

#define BYTE_ORDER	LITTLE_ENDIAN
#define lwip_htons(x)	__builtin_bswap16(x)
#define lwip_htonl(x)	__builtin_bswap32(x)
#define LWIP_DONT_PROVIDE_BYTEORDER_FUNCTIONS

unsigned int rs_tcp_random(void);
void rs_tcp_broken(const char *what, const char *file, int line) __attribute__((noreturn));
#define LWIP_RAND()		rs_tcp_random()
#define LWIP_PLATFORM_DIAG(x)	do { } while (0)
#define LWIP_PLATFORM_ASSERT(x)	rs_tcp_broken(x, __FILE__, __LINE__)

#endif
