// Loaded into a pod before it starts (--import): its wall clock is off by LIMITS_SHIFT_MS. The monotonic one is not.

const shiftMs = Number(process.env.LIMITS_SHIFT_MS ?? 0);
const RealDate = Date;

globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(RealDate.now() + shiftMs);
    else super(...given);
  }
  static now() {
    return RealDate.now() + shiftMs;
  }
};
