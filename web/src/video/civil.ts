// Brussels civil time for people; instants are Unix microseconds (numbers below 2**53).
const ZONE = "Europe/Brussels";
const HOUR = 3_600_000;

const parts = new Intl.DateTimeFormat("en-GB", {
  timeZone: ZONE, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit",
  hour: "2-digit", minute: "2-digit", second: "2-digit",
});

type Civil = { date: string; time: string; hour: number; minute: number };

/** The day and the time of day in Brussels, as `<input>` writes them. */
export function civil(us: number): Civil {
  const found: Record<string, string> = {};
  for (const { type, value } of parts.formatToParts(us / 1000)) found[type] = value;
  return {
    date: `${found.year}-${found.month}-${found.day}`,
    time: `${found.hour}:${found.minute}:${found.second}`,
    hour: Number(found.hour),
    minute: Number(found.minute),
  };
}

/**
 * The instants at which clocks in Brussels show that: one; two in the hour that comes twice, the first (summer time)
 * first; none in the hour that is left out.
 */
export function instants(date: string, time: string): number[] {
  const utc = Date.parse(`${date}T${time.length === 5 ? `${time}:00` : time}Z`);
  if (Number.isNaN(utc)) return [];
  const whole = time.length === 5 ? `${time}:00` : time;
  return [2, 1]
    .map((hours) => (utc - hours * HOUR) * 1000)
    .filter((us) => {
      const shown = civil(us);
      return shown.date === date && shown.time === whole;
    });
}

/** Whether that time of day comes twice on that day. */
export function isTwice(us: number): boolean {
  const shown = civil(us);
  return instants(shown.date, shown.time).length > 1;
}

export class Clock {
  private readonly full: Intl.DateTimeFormat;
  private readonly short: Intl.DateTimeFormat;
  private readonly zoned: Intl.DateTimeFormat;
  private readonly day: Intl.DateTimeFormat;

  constructor(language: string) {
    const zone = { timeZone: ZONE, hourCycle: "h23" } as const;
    const locale = language === "en" ? "en-GB" : `${language}-BE`;
    this.full = new Intl.DateTimeFormat(locale, { ...zone, dateStyle: "medium", timeStyle: "medium" });
    this.short = new Intl.DateTimeFormat(locale, { ...zone, hour: "2-digit", minute: "2-digit" });
    this.zoned = new Intl.DateTimeFormat(locale, { ...zone, timeZoneName: "shortOffset", hour: "2-digit", minute: "2-digit" });
    this.day = new Intl.DateTimeFormat(locale, { timeZone: ZONE, day: "numeric", month: "short" });
  }

  /** Day and time to the second; with the offset where that time comes twice. */
  tell(us: number): string {
    const text = this.full.format(us / 1000);
    return isTwice(us) ? `${text} (${this.offset(us)})` : text;
  }

  /** Hours and minutes; with the offset where that time comes twice. */
  mark(us: number): string {
    return isTwice(us) ? `${this.short.format(us / 1000)} ${this.offset(us)}` : this.short.format(us / 1000);
  }

  date(us: number): string {
    return this.day.format(us / 1000);
  }

  private offset(us: number): string {
    return this.zoned.formatToParts(us / 1000).find((part) => part.type === "timeZoneName")?.value ?? "";
  }
}
