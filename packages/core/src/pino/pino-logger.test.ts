import { expect, it } from "vitest";
import { pinoLogger } from "./pino-logger.ts";

it("writes lines of JSON, without the values of secret-like names at any depth", () => {
  const lines: string[] = [];
  const logger = pinoLogger({ level: "debug", destination: { write: (line) => void lines.push(line) } });
  logger.child({ plugin: "p", apiKey: "k-1" }).info("connected", { to: "h", auth: [{ password: "p-1", user: "u" }] });
  expect(JSON.parse(lines[0] as string)).toMatchObject({
    msg: "connected",
    plugin: "p",
    apiKey: "[redacted]",
    auth: [{ password: "[redacted]", user: "u" }],
  });
  expect(lines.join("")).not.toMatch(/k-1|p-1/);
});

it("never throws", () => {
  const broken = {
    write() {
      throw new Error("disk full");
    },
  };
  expect(() => pinoLogger({ destination: broken }).error("x", { y: 1 })).not.toThrow();
});
