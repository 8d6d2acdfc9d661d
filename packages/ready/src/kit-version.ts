/** The version of this package. */
export const kitVersion = "0.1.0";
