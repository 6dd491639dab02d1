/** How each record of a ZIP begins, and how long its fixed part is. PKWARE APPNOTE 6.3.10, sections 4.3.7 to 4.3.16; little-endian. */
export const localSignature = 0x04034b50;
export const localBytes = 30;
export const descriptorSignature = 0x08074b50;
export const recordSignature = 0x02014b50;
export const recordBytes = 46;
export const endSignature = 0x06054b50;
export const endBytes = 22;
export const zip64EndSignature = 0x06064b50;
export const zip64EndBytes = 56;
export const locatorSignature = 0x07064b50;
export const locatorBytes = 20;

/** The extra field that holds what 32 bits cannot (section 4.5.3). */
export const zip64ExtraId = 0x0001;
