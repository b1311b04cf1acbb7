// Instants as a person at a desk reads them: in the zone of that desk, which is said once.

export interface LocalTime {
  /** 'Europe/Berlin (UTC+02:00)', as it is at that instant. */
  zone(at: number): string;
  /** 'Thu 14 May 2026' */
  day(at: number): string;
  /** '14:03' */
  minute(at: number): string;
  /** '14:03:05' */
  second(at: number): string;
}

/** Without a name: the zone of this machine. */
export function createLocalTime(timeZone?: string): LocalTime {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'longOffset',
  });
  const name = parts.resolvedOptions().timeZone;
  const read = (at: number) => Object.fromEntries(parts.formatToParts(at).map(({ type, value }) => [type, value]));
  return {
    zone(at) {
      const offset = read(at).timeZoneName?.replace('GMT', 'UTC') ?? '';
      return name === offset || offset === '' ? name : `${name} (${offset === 'UTC' ? 'UTC+00:00' : offset})`;
    },
    day(at) {
      const { weekday, day, month, year } = read(at);
      return `${weekday} ${day} ${month} ${year}`;
    },
    minute(at) {
      const { hour, minute } = read(at);
      return `${hour}:${minute}`;
    },
    second(at) {
      const { hour, minute, second } = read(at);
      return `${hour}:${minute}:${second}`;
    },
  };
}
