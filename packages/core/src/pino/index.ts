// Logs through pino. A subpath of its own: whoever runs a kernel with another logger never loads pino.
export { type PinoLoggerOptions, pinoLogger, redactSecrets } from "./pino-logger.ts";
