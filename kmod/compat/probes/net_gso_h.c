// SPDX-License-Identifier: GPL-2.0
// Since 6.5; before, all of it was in skbuff.h.
// absent: net/gso.h: No such file or directory
#include <net/gso.h>
