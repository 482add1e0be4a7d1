// SPDX-License-Identifier: GPL-2.0
#include <linux/module.h>
#include <linux/netfilter/x_tables.h>
#include <net/ip.h>
