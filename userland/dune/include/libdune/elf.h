/* SPDX-License-Identifier: MIT */
/*
 * elf.h - ELF as programs written for Dune know it: the C library's <elf.h>, also where this directory is searched first
 */
#ifndef _ELF_H
#include_next <elf.h>
#endif
