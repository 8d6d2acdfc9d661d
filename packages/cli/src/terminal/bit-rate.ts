const units = ["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"] as const;

/** A rate for people, in powers of 1000 as networks have them: `940 Mbit/s`, `1.2 kbit/s`, `0`. */
export function formatBitRate(bitsPerSecond: number): string {
  if (bitsPerSecond < 0.5) return "0";
  let value = bitsPerSecond;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, "")} ${units[unit]}`;
}
