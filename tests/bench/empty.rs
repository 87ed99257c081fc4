//! The least Rust program that loads libssl: what starting postrider cannot be faster than.

#[link(name = "ssl")]
unsafe extern "C" {
    fn TLS_client_method() -> *const u8;
}

fn main() {
    std::hint::black_box(TLS_client_method as *const u8);
}
