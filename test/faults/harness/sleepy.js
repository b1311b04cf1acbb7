// A clock that sleeps with its process: after a stop no time has passed.

export function sleepy() {
  const now = performance.now.bind(performance);
  let asleep = 0;
  let last = now();
  setInterval(() => performance.now(), 20).unref();
  performance.now = () => {
    const at = now();
    if (at - last > 3_000) asleep += at - last;
    last = at;
    return at - asleep;
  };
}
