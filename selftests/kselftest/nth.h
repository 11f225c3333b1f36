/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The n-th allocation, or copy from or to user space, of this thread fails.
 *
 * Copyright (c) 2026 The vbe authors
 */
#ifndef KST_NTH_H
#define KST_NTH_H

#include <stdbool.h>

#define NTH_MOST	3000	/* failure points of a chain: more is a loop */
#define NTH_TIMEOUT	600

/* NULL, or why this kernel cannot do it. */
const char *nth_begin(void);
void nth_end(void);

void nth_arm(unsigned int n);
/* Did the failure happen? */
bool nth_disarm(void);

/* What an allocation or a copy that failed may turn into. */
bool nth_clean_error(int ret);

#endif /* KST_NTH_H */
