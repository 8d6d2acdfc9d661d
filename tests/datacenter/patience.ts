/** How long a test waits for what must happen, in milliseconds: a guest whose processor is emulated boots in seconds, and in a minute where others work too. */
export const patienceMs = 120_000;
