// Typed wrapper of run-lease.lua.

import { defineScript } from '../scripts/define-script.ts';
import { LEASE_PRELUDES } from './lease-fields.ts';

export type RunReply =
  | { kind: 'held'; token: number; fromPod: string | null }
  | { kind: 'standby'; token: number; pod: string; forMs: number }
  | { kind: 'lost' | 'released' };

export const runLease = defineScript({
  file: new URL('./run-lease.lua', import.meta.url),
  preludes: LEASE_PRELUDES,
  keys: ['run', 'sequence'],
  args: ['pod', 'termMs', 'token', 'floor', 'isLast'],
  reply(raw): RunReply {
    const [kind, token, pod, forMs] = raw as ['held' | 'standby' | 'lost' | 'released', string?, string?, number?];
    if (kind === 'held') return { kind, token: Number(token), fromPod: pod || null };
    if (kind === 'standby') return { kind, token: Number(token), pod: pod ?? '', forMs: forMs ?? 0 };
    return { kind };
  },
});
