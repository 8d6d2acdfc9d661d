import { VdcError } from "@vdc-os/core";

const units: readonly string[] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** A size for people, in powers of 1024: `10 GiB`, `1.5 MiB`, `512 B`. Never more than four digits. */
export function formatByteSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be rounded to 1024 belongs to the next unit.
  while (value >= 1023.5 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = Number.isInteger(value) || value >= 99.95 || unit === 0 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, "")} ${units[unit]}`;
}

/** Whether {@link formatByteSize} says something near to a size, and not the size itself: `1.1 GiB` for 1152 MiB. */
export function isRoundedByteSize(bytes: number): boolean {
  const [number, unit = "B"] = formatByteSize(bytes).split(" ");
  return Number(number) * 1024 ** units.indexOf(unit) !== bytes;
}

/** A rate for people: `120 MiB/s`. */
export function formatByteRate(bytesPerSecond: number): string {
  return `${formatByteSize(Math.round(bytesPerSecond))}/s`;
}

/**
 * Reads a size as a person writes it: `10G`, `10 GiB`, `1.5T`, `65536`, `512k`. Units are powers of 1024, with or without `iB`. Throws `INVALID_ARGUMENT` for
 * anything else: `10GB` too, since a tenth part of those who write it mean powers of 1000.
 */
export function parseByteSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?b)?$/i.exec(text.trim());
  const [, number = "", letter = "", ending = ""] = match ?? [];
  const decimal = letter !== "" && ending.toLowerCase() === "b";
  if (match === null || decimal || (letter === "" && ending.toLowerCase() === "ib")) {
    const why = decimal
      ? `say '${number}${letter.toUpperCase()}iB', which is in powers of 1024`
      : "say '10G' or '512MiB'";
    throw new VdcError("INVALID_ARGUMENT", `'${text}' is no size: ${why}`);
  }
  const bytes = Number(number) * 1024 ** " kmgtp".indexOf(letter === "" ? " " : letter.toLowerCase());
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new VdcError("INVALID_ARGUMENT", `'${text}' is no whole number of bytes that can be counted`);
}
