/**
 * Ids that the schemas let through, and nobody would give to anything: paths, names of what every object has, characters that end a string, a line, an option or an
 * argument, and as many as there may be.
 */
export const strangeIds: readonly string[] = [
  "../../../../etc/passwd",
  "/dev/sda",
  "a/b",
  "..",
  ".",
  "__proto__",
  "constructor",
  "%00",
  "nul\u0000byte",
  "line\nbreak",
  "$(touch x)",
  "a,b=c",
  '{"a":"b"}',
  "a' or 'b",
  "é".repeat(100),
  "x".repeat(256),
];
