// SPDX-License-Identifier: MIT
// Memory is wanting while packets are copied at the points of IP: for each allocation of the module once, on each path. The original goes on as it
// was; the copy is whole or not there at all, and counted by its reason.

import { sweepCopies } from '../support/fault-points.js'

sweepCopies(['prerouting', 'local-in', 'forward', 'local-out', 'postrouting'])
