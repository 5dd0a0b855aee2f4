// A cell of one number: any number of channels, any kernel.

alias Cell = f32;
alias Taps = u32;
alias Keys = i32;

fn pack(taps: Taps) -> u32 {
    return taps;
}

fn unpack(word: u32) -> Taps {
    return word;
}
