// The type of the measured lane for the TypeScript beside it; the lane itself is plain JavaScript, see there.

import type { Lane } from 'lanekeeper';

export const noop: Lane<{ title: string; body: string; channel: string; count: number; urgent: boolean }>;
