"""Reads a key file as anonymizer/edge/keyfile.h describes it, by libsodium's functions and nothing of Throng: so that a test can
compute the pseudonyms that must not be found anywhere."""
import ctypes
import ctypes.util
import hashlib
import struct

NAMES = 5  # keys that an app has room for: this epoch's and those still linked
HEADER_BYTES = 4096
APP_BYTES = 5 * 4 + 2 * 8 + (NAMES + 2) * 32
APPS_MAX = 256
PACKED_BYTES = 4 + 8 + 8 + 32 + APPS_MAX * APP_BYTES
SEALED_BYTES = 8 + 24 + PACKED_BYTES + 16
SLOT_BYTES = (SEALED_BYTES + 4095) // 4096 * 4096


def sodium():
    library = ctypes.CDLL(ctypes.util.find_library('sodium') or 'libsodium.so.23')
    assert library.sodium_init() >= 0
    return library


def open_slot(library, key, header, slot):
    generation, sealed = slot[:8], slot[8:SEALED_BYTES]
    data = header[:24] + generation
    out = ctypes.create_string_buffer(PACKED_BYTES)
    failed = library.crypto_aead_xchacha20poly1305_ietf_decrypt(out, None, None, sealed[24:], ctypes.c_ulonglong(len(sealed) - 24),
        data, ctypes.c_ulonglong(len(data)), sealed[:24], key)
    return None if failed else (struct.unpack('<Q', generation)[0], out.raw)


def read(path, passphrase):
    """{app: [key of this epoch, of the last, …]} of the newest slot."""
    with open(path, 'rb') as file:
        content = file.read()
    assert content[:8] == b'THKEYS1\n'
    library, key = sodium(), ctypes.create_string_buffer(32)
    assert library.crypto_pwhash(key, ctypes.c_ulonglong(32), passphrase.encode(), ctypes.c_ulonglong(len(passphrase)), content[8:24],
        ctypes.c_ulonglong(2), ctypes.c_size_t(67108864), 2) == 0
    slots = [open_slot(library, key.raw, content, content[HEADER_BYTES + i * SLOT_BYTES:]) for i in range(2)]
    packed = max(slot for slot in slots if slot)[1]
    count, at, apps = struct.unpack('<I', packed[:4])[0], 4 + 8 + 8 + 32, {}
    for _ in range(count):
        app, _, _, _, held = struct.unpack('<5I', packed[at:at + 20])
        keys = at + 36
        apps[app] = [packed[keys + i * 32:keys + (i + 1) * 32] for i in range(held)]
        at += APP_BYTES
    return apps


def pseudonym(key, kind, text):
    """The name of an id: kind b'U' (user) or b'S' (session)."""
    raw = text.encode()
    return hashlib.blake2b(kind + struct.pack('<H', len(raw)) + raw, digest_size=16, key=key).digest()
