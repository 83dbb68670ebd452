mod apart;
mod card;
mod reduced;
mod scaled;
