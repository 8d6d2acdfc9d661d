interface ReviverContext {
  readonly source?: string;
}

type Reviver = (this: unknown, key: string, value: unknown, context: ReviverContext) => unknown;

/** Reads JSON with integers beyond 2^53 as bigints. */
export function parseExactJson(text: string): unknown {
  const revive: Reviver = (_key, value, { source }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && source !== undefined && /^-?\d+$/.test(source)
      ? BigInt(source)
      : value;
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown);
}

/** Writes JSON with the members of objects in order, bigints as integers, and numbers as C writes them with `%g`. */
export function formatExactJson(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number") return formatNumber(value);
  if (Array.isArray(value)) return `[${value.map(formatExactJson).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${formatExactJson(member)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/** Fifteen digits, or seventeen where those don't say the same number. */
function formatNumber(value: number): string {
  if (Number.isSafeInteger(value)) return String(value);
  const precision = Number(value.toPrecision(15)) === value ? 15 : 17;
  const [digits = "", power = "0"] = value.toExponential(precision - 1).split("e");
  const exponent = Number(power);
  if (exponent >= -4 && exponent < precision) {
    const fixed = value.toFixed(precision - 1 - exponent);
    return fixed.includes(".") ? fixed.replace(/\.?0+$/, "") : fixed;
  }
  const sign = exponent < 0 ? "-" : "+";
  return `${digits.replace(/\.?0+$/, "")}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
}
