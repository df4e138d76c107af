# SPDX-License-Identifier: MIT
#
# Which files of lwIP are used, and with what flags; also by selftests/hosted. Needs TOP.
LWIP		:= $(TOP)/build/src/lwip/src
LWIP_SRCS	:= core/tcp.c core/tcp_in.c core/tcp_out.c core/pbuf.c core/mem.c core/memp.c core/ipv4/ip4_addr.c
LWIP_FLAGS	:= -isystem $(LWIP)/include -I$(TOP)/userland/guest/net/lwip
