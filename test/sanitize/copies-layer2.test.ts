// SPDX-License-Identifier: MIT
// As copies.test.ts, at the points of bridges and devices.

import { sweepCopies } from '../support/fault-points.js'

sweepCopies(['bridge-prerouting', 'bridge-local-in', 'bridge-forward', 'bridge-local-out', 'bridge-postrouting', 'ingress', 'egress'])
